"""The shared package: nameko's extensions on native threads, and what services stand on."""

import os
import warnings

# nameko 2.14 imports eventlet, which announces its own retirement; nothing here runs on it. Its
# resolver alone would be a third of a service's start.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
warnings.filterwarnings("ignore", message=r"(?s).*Eventlet is deprecated", append=False)
