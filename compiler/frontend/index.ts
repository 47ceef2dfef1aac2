/** The frontend: from a model file to a model whose values know their names and places, and errors that show them. */
export { ModelTypeError } from './check.ts';
export type { Keep, Kept } from './checking.ts';
export { formatDiagnostic, type ReadSource } from './diagnostic.ts';
export { callTrail } from './guard.ts';
export { guard, loadModel, type LoadedModel, type LoadOptions } from './load.ts';
export { PACKAGE_ROOT } from './paths.ts';
export { readSource, rememberText } from './sources.ts';
