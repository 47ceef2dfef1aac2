import { defineConfig } from 'vitest/config';

// One file at a time per worker: GPU tests share one software adapter that already uses every core.
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
    minWorkers: 1,
  },
});
