/** `ditc/runtime` in Node: the runtime, and what opens files and devices there. */
export * from '../index.ts';
export { load, openGpu } from './load.ts';
export type { LoadOptions, LoadProgress } from './load.ts';
export { findAdapter } from './adapter.ts';
export type { AdapterChoice, FoundAdapter } from './adapter.ts';
export { readArtefact } from './artefact.ts';
export { openData } from './data/open.ts';
export { openFile, writeAtomically } from './file.ts';
