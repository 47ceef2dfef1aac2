/** Starts decode-serve.ts in a worker thread: plain JavaScript that lets Node load the TypeScript sources. */
const { register } = await import('tsx/esm/api');
register({ tsconfig: false });
await import('./decode-serve.ts');
