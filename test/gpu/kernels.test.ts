import { describeKernels } from './kernels.ts';

describeKernels(4, 40);
