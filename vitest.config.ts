import { defineConfig } from 'vitest/config';
import { testFiles } from './test/device-tests.ts';

const files = testFiles(import.meta.dirname);
const project = (name: string, include: string[]) => ({ extends: true as const, test: { name, include } });

// One file at a time per worker: GPU tests share one software adapter that already uses every core.
export default defineConfig({
  test: {
    projects: Object.entries(files).map(([kind, include]) => project(kind, include)),
    setupFiles: ['test/helpers/yield.ts', 'test/helpers/temporary.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // A test that wants a cache of compiled models says where.
    env: { DITC_CACHE: 'off' },
    pool: 'forks',
    maxWorkers: 2,
    minWorkers: 1,
  },
});
