"""The shared package: nameko's extensions on native threads, and what services stand on."""

import warnings

# nameko 2.14 imports eventlet, which announces its own retirement; nothing here runs on it.
warnings.filterwarnings("ignore", message=r"(?s).*Eventlet is deprecated", append=False)
