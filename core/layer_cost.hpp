// core/layer_cost.hpp: what one layer costs, whoever computes it: networks report it, boards turn it into time.
#pragma once

namespace reins {

struct LayerCost {
  double macs = 0;      ///< multiply-accumulates of the direct form
  double bytes = 0;     ///< bytes touched: weights, input and output once each
  double launches = 0;  ///< kernel launches (or primitive calls)
};

}  // namespace reins
