/** Between two tests the event loop turns: vitest gives a worker up that answers nothing for a minute, as many tests without a wait may. */
import { afterEach } from 'vitest';

afterEach(() => new Promise<void>((resolve) => setImmediate(resolve)));
