/** The digest that a publisher provided, after the status was lost: when it has to be found on the images, and which one counts. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { finalizer, identityAnnotation } from '../../src/api/group.ts';
import type { Image } from '../../src/glance/image.ts';
import { contentMark, contentOf } from '../../src/image/model/content.ts';
