"""Glance's own verdicts on images, without a server.

Reads lines of JSON {"length", "parts": [[offset, base64], ...], "labels": [...], "container", "chunk"}: a file that is zero but for
its parts, the disk formats to try, and in which pieces the store reads. Writes one line for each, a list in the order of the
labels: {"accepted", "virtual_size", "message"}. Glance's code checks the image, from the point where an upload's bytes arrive.
"""
import base64
import io
import json
import sys
import types
import warnings

warnings.simplefilter('ignore')

from glance.common import config  # noqa: E402,F401
from glance.common import exception  # noqa: E402
from glance import location  # noqa: E402


def upload(data, label, container, chunk):
    image = types.SimpleNamespace(
        disk_format=label, container_format=container, extra_properties={}, virtual_size=None, status='saving')

    def to_store(body, *_):
        while body.read(chunk):
            pass

    proxy = types.SimpleNamespace(image=image, context=None, _upload_to_store=to_store)
    try:
        location.ImageProxy.set_data(proxy, io.BytesIO(data))
    except exception.InvalidImageData as error:
        return {'accepted': False, 'virtual_size': None, 'message': str(error)}
    return {'accepted': True, 'virtual_size': image.virtual_size, 'message': ''}


for line in sys.stdin:
    case = json.loads(line)
    data = bytearray(case['length'])
    for offset, text in case['parts']:
        part = base64.b64decode(text)
        data[offset:offset + len(part)] = part
    verdicts = [upload(bytes(data), label, case['container'], case['chunk']) for label in case['labels']]
    print(json.dumps(verdicts), flush=True)
