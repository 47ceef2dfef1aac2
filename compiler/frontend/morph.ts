/**
 * ts-morph, loaded on first use: it carries a whole TypeScript (about a third of a second to load), which commands that
 * open no model file should not pay for. `require`, not `import`, so that loading a model stays synchronous.
 */
import { createRequire } from 'node:module';
import type * as TsMorph from 'ts-morph';

const require = createRequire(import.meta.url);
let loaded: typeof TsMorph | undefined;

export const morph = (): typeof TsMorph => (loaded ??= require('ts-morph') as typeof TsMorph);
