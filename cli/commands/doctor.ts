/** `ditc doctor`: which adapter programs run on, why, and how to get a faster one. */
import { Command } from 'commander';
import { examples, type Context } from '../context.ts';
import { EXIT } from '../errors.ts';

export const doctorCommand = (context: Context): Command =>
  new Command('doctor')
    .description('Shows the adapter that programs run on, why that one, whether it computes right, and what is faster.')
    .option('--json', 'print the report as JSON; its "adapter" is a device that `build --device` takes')
    .addHelpText('after', examples('ditc doctor', 'ditc doctor --json > here.json'))
    .action((options: { json?: boolean }) => doctor(options.json ?? false, context));

async function doctor(json: boolean, context: Context): Promise<void> {
  const { diagnose, formatDoctor, isHealthy } = await import('../../runtime/node/doctor.ts');
  const report = await diagnose();
  context.terminal.out(json ? JSON.stringify(report, null, 2) : formatDoctor(report).trimEnd());
  if (!isHealthy(report)) context.exitCode = EXIT.failed;
}
