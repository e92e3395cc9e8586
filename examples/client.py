import sys
import msgpack, zmq

socket = zmq.Context().socket(zmq.REQ)
socket.setsockopt(zmq.LINGER, 0)
socket.setsockopt(zmq.RCVTIMEO, 5000)  # milliseconds; no answer by then raises zmq.Again
socket.connect(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555")

image = bytes(3 * 32 * 32)  # your RGB image, 32x32: uint8, channels first
request = {"v": 1, "id": 1, "op": "infer", "dtype": "uint8", "shape": [1, 3, 32, 32], "deadline_s": 0.1}
socket.send_multipart([msgpack.packb(request), image])
reply = msgpack.unpackb(socket.recv())
shown = ("class", "level", "mapping", "latency_s", "energy_j", "energy_source", "emulated") if reply["ok"] else ("error",)
print({key: reply[key] for key in shown})
