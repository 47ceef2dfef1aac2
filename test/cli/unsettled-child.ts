/** Run by a test as a process of its own: awaits what never comes, as a bug would, and says how that ends. */
import { settled } from '../../cli/unsettled.ts';

try {
  await settled(new Promise(() => {}));
} catch (error) {
  console.log((error as Error).message);
  process.exitCode = 1;
}
