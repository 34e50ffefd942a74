"""The shared package: nameko's extensions on native threads, and what services stand on."""

import os
import warnings

# nameko 2.14 imports eventlet, which announces its own retirement; nothing here runs on it. Its
# resolver alone would be a third of a service's start.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
warnings.filterwarnings("ignore", message=r"(?s).*Eventlet is deprecated", append=False)

# grpcio's own thread takes what arrives from the sockets, instead of threads of its core's event
# engine, which only hand it on: a tenth more calls a second (docs/benchmarks.md). Read when grpc
# is first imported, so it stands before any module that does; what an operator sets is left alone.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_listener")
