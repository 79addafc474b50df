"""Prints, as JSON, the attributes of the object that Glance's PATCH handler changes, as glance/gateway.py builds it."""
import datetime
import json
from unittest import mock

from glance import db, domain, location, notifier, quota

now = datetime.datetime.now()
context = mock.Mock()
image = domain.Image("id", "queued", now, now)
image = db.ImageProxy(image, context, mock.Mock())
image = location.ImageProxy(image, context, mock.Mock(), mock.Mock())
image = quota.ImageProxy(image, context, mock.Mock(), mock.Mock())
image = notifier.ImageProxy(image, context, mock.Mock())
print(json.dumps([name for name in dir(image) if hasattr(image, name)]))
