/**
 * Names that parameters of an autoencoder have in older files: diffusers' attention before its 0.18, and the CompVis code
 * (Rombach et al. 2022), alone or as the `first_stage_model` of a Stable Diffusion checkpoint.
 */

/** Diffusers' attention names, before and now. */
const ATTENTION: readonly [now: string, before: string, compVis: string][] = [
  ['to_q', 'query', 'q'],
  ['to_k', 'key', 'k'],
  ['to_v', 'value', 'v'],
  ['to_out.0', 'proj_attn', 'proj_out'],
];

/** Whether a parameter is one of an attention's, by its name now. */
const isOf = (name: string, now: string): boolean => name.includes('.attentions.') && name.includes(`.${now}.`);

/** Every other name that a file may have for parameter `name` of an autoencoder of so many levels. */
export function otherNames(name: string, levels: number): string[] {
  const older = ATTENTION.filter(([now]) => isOf(name, now)).map(([now, before]) =>
    name.replace(`.${now}.`, `.${before}.`),
  );
  const compVis = compVisName(name, levels);
  return [...older, ...(compVis === name ? [] : [compVis]), `first_stage_model.${compVis}`];
}

function compVisName(name: string, levels: number): string {
  const attention = ATTENTION.find(([now]) => isOf(name, now));
  return (
    (attention ? name.replace(`.${attention[0]}.`, `.${attention[2]}.`) : name)
      .replace(/\.mid_block\.attentions\.0\./, '.mid.attn_1.')
      .replace(/\.attentions\.(\d+)\./, '.attn.$1.')
      .replace(/\.group_norm\./, '.norm.')
      .replace(/\.mid_block\.resnets\.(\d+)\./, (_, j) => `.mid.block_${Number(j) + 1}.`)
      .replace(/\.down_blocks\.(\d+)\./, '.down.$1.')
      // There the decoder's levels count from the picture inwards too.
      .replace(/\.up_blocks\.(\d+)\./, (_, i) => `.up.${levels - 1 - Number(i)}.`)
      .replace(/\.resnets\.(\d+)\./, '.block.$1.')
      .replace(/\.(down|up)samplers\.0\.conv\./, '.$1sample.conv.')
      .replace(/\.conv_shortcut\./, '.nin_shortcut.')
      .replace(/\.conv_norm_out\./, '.norm_out.')
  );
}
