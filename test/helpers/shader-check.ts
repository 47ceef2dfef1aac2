/** Dawn's front end for WGSL, without a GPU: what it has against a shader. */
import { openDevice, type OpenDevice } from '../../runtime/device.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';

let opened: Promise<OpenDevice> | undefined;

/** Messages of errors that Dawn's null backend has for shaders; throws where it lacks one of the features. */
export async function shaderCheck(features: readonly string[]): Promise<(wgsl: string) => Promise<string[]>> {
  opened ??= findAdapter({ prefer: 'null' }).then(({ adapter, spec }) => openDevice(adapter, spec));
  const { device } = await opened;
  const lacking = features.filter((feature) => !device.features.has(feature));
  if (lacking.length) throw new Error(`the null backend lacks ${lacking.join(', ')}`);
  return async (code) => {
    device.pushErrorScope('validation');
    const shader = device.createShaderModule({ code });
    const { messages } = await shader.getCompilationInfo();
    await device.popErrorScope();
    return messages.filter(({ type }) => type === 'error').map(({ message, lineNum }) => `${lineNum}: ${message}`);
  };
}
