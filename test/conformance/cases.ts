/** All that is compared, by topic. */
import type { Case } from './case.ts';
import { accessCases } from './cases-access.ts';
import { createCases } from './cases-create.ts';
import { dataCases } from './cases-data.ts';
import { faultCases } from './cases-faults.ts';
import { propertyCases } from './cases-properties.ts';
import { readCases } from './cases-read.ts';
import { updateCases } from './cases-update.ts';

export const cases: readonly Case[] = [
  ...createCases,
  ...propertyCases,
  ...updateCases,
  ...readCases,
  ...dataCases,
  ...accessCases,
  ...faultCases,
];
