"""Cinder's own image service as a filter: a case a line in, its outcomes a line out.

Invariant: nothing is repaired on the way. A result is written as JSON, an exception as its class, code and text. Arguments
come from the case, in the types that Cinder's callers use.

The first line has the users and the server: {"glance": URL, "people": {NAME: {"token", "project", "user"}}}. Each further one is a case:
{"operations": [...], "glance": URL, "retries": N, "remote": REFERENCE}. Its result is a list with {"returned": ...} or
{"raised": ...} for each operation. One service calls a server in all cases, as in Cinder.
"""
import datetime
import hashlib
import io
import json
import sys
import types

from oslo_config import cfg

import cinder.image.image_utils  # noqa: F401  Before glance: the two import each other.
from cinder import context
from cinder.image import glance

CONF = cfg.CONF
# Output of print goes to standard error, apart from the outcomes.
OUTCOMES, sys.stdout = sys.stdout, sys.stderr
# The second between two tries decides nothing here.
glance.time = types.SimpleNamespace(sleep=lambda seconds: None)


def create(service, asker, op):
    if 'data' in op:
        return service.create(asker, op['meta'], io.BytesIO(op['data'].encode()))
    return service.create(asker, op['meta'])


def update(service, asker, op):
    options = {'purge_props': op['purge'], 'store_id': op['store'], 'base_image_ref': op['baseImageRef']}
    data = io.BytesIO(op['data'].encode()) if 'data' in op else None
    return service.update(asker, op['image'], op['meta'], data, **options)


def give_back(service, asker, op):
    return service.update(asker, op['image'], {**service.show(asker, op['image']), **op['meta']})


def download(service, asker, op):
    CONF.set_override('allowed_direct_url_schemes', op['schemes'])
    if not op['sink']:
        return digest(b''.join(service.download(asker, op['image'])))
    sink = io.BytesIO()
    service.download(asker, op['image'], sink)
    return digest(sink.getvalue())


def detail(service, asker, op):
    names = {'filters': 'filters', 'marker': 'marker', 'limit': 'limit', 'sortKey': 'sort_key', 'sortDir': 'sort_dir'}
    return service.detail(asker, **{python: op[name] for name, python in names.items() if name in op})


def show_ref(service, asker, op):
    remote, image_id = glance.get_remote_image_service(asker, op['ref'])
    return remote.show(asker, image_id)


class Image(dict):
    """An image as the HTTP client gives it: a dictionary whose keys are attributes too."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name)


def is_available(_service, _asker, op):
    requester = context.RequestContext(
        user_id=op['to']['user'], project_id=op['to']['project'], auth_token=op['to']['token'],
        is_admin=op['to']['admin'], overwrite=False)
    members = [{'member_id': each['project'], 'status': each['status']} for each in op['members']]
    service = glance.GlanceImageService()
    service.list_members = lambda asker, image_id: members
    return service._is_image_available(requester, Image(op['image'], id='image'))


OPERATIONS = {
    'create': create,
    'update': update,
    'giveBack': give_back,
    'download': download,
    'detail': detail,
    'showRef': show_ref,
    'isAvailable': is_available,
    'show': lambda service, asker, op: service.show(asker, op['image']),
    'delete': lambda service, asker, op: service.delete(asker, op['image']),
    'listMembers': lambda service, asker, op: service.list_members(asker, op['image']),
    'getStores': lambda service, asker, op: service.get_stores(asker),
    'getLocation': lambda service, asker, op: service.get_location(asker, op['image']),
    'addLocation': lambda service, asker, op: service.add_location(asker, op['image'], op['url'], op['metadata']),
}


def digest(data):
    return {'size': len(data), 'sha256': hashlib.sha256(data).hexdigest()}


def plain(value):
    """A value of Cinder's as JSON; Python objects in it are named as such."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if hasattr(value, '__iter__'):
        return [plain(each) for each in value]
    return {'python': type(value).__name__}


def outcome(service, asker, op):
    try:
        # Here, because some of what Cinder returns fails only when it is read.
        return {'returned': plain(OPERATIONS[op['op']](service, asker, op))}
    except Exception as error:
        return {'raised': {'class': type(error).__name__, 'code': getattr(error, 'code', None), 'text': str(error)}}


def main():
    lines = iter(sys.stdin)
    setting = json.loads(next(lines))
    CONF([], project='cinder', default_config_files=[])
    people = {
        name: context.RequestContext(
            user_id=who['user'], project_id=who['project'], auth_token=who['token'], is_admin=False, overwrite=False)
        for name, who in setting['people'].items()
    }
    services = {}
    for line in lines:
        case = json.loads(line)
        server = case.get('glance', setting['glance'])
        CONF.set_override('glance_api_servers', [server])
        CONF.set_override('glance_num_retries', case.get('retries', 3))
        if 'remote' in case:
            service, _ = glance.get_remote_image_service(people['member'], case['remote'])
        else:
            service = services.setdefault(server, glance.GlanceImageService())
        outcomes = [outcome(service, people[op['as']], op) for op in case['operations']]
        OUTCOMES.write(json.dumps(outcomes) + '\n')
        OUTCOMES.flush()


if __name__ == '__main__':
    main()
