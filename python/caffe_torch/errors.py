"""What a net or a solver asks for and this engine cannot do, or what is wrong with it: always said by name."""

from __future__ import annotations

from caffe_files.errors import InputError


class NetError(InputError):
    """A net, a solver or a model file that cannot be run as it is written."""
