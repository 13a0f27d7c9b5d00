"""Languages: how functions of each are started, the frames to them, and the code and layers they load.

base.py              the seam: python.py · node.py · custom.py · goapi.py; handlers.py: what a handler looks like
code.py              uploaded zips as read-only folders (archive.py checks and unpacks, folders.py: whole or not at all)
layers.py            requirements.txt, installed once per content: requirements.py, installer.py, index_settings.py
wire.py              the frames between node and instance · bootstrap/: what runs at their other end
shared.py            what several want at once is done once
"""
