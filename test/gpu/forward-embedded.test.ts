import { describeForward } from './forward.ts';

process.env.DITC_ADAPTER = 'embedded';
describeForward();
