/** The same on the software GPU that comes with npm ci: other subgroup size, no f16. */
import { describeKernels } from './kernels.ts';

process.env.DITC_ADAPTER = 'embedded';
describeKernels(1, 6);
