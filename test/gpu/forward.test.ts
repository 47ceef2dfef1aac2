import { describeForward } from './forward.ts';

describeForward();
