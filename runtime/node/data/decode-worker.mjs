/** Starts decode-serve.ts in a worker thread: from the sources in the repository, else from what was built of them. */
import { existsSync } from 'node:fs';

if (existsSync(new URL('./decode-serve.ts', import.meta.url))) {
  const { register } = await import('tsx/esm/api');
  register({ tsconfig: false });
  await import('./decode-serve.ts');
} else await import('./decode-serve.js');
