/** What becomes of tests whose browser is not there. */
import { afterEach, expect, it, vi } from 'vitest';
import { engines, need, type Engine } from '../helpers/engines.ts';

afterEach(() => void vi.unstubAllEnvs());

const missing: Engine = { ...engines[1], missing: 'not installed; apt-get install firefox-esr' };

it('are skipped on a machine without it, with what to install', () => {
  vi.stubEnv('DITC_BROWSERS', '');
  const skip = vi.fn();
  need(missing, skip);
  expect(skip).toHaveBeenCalledWith('not installed; apt-get install firefox-esr');
});

it('fail where it is required', () => {
  vi.stubEnv('DITC_BROWSERS', 'required');
  expect(() => need(missing, vi.fn())).toThrow('Firefox is required: not installed; apt-get install firefox-esr');
});
