/** What the passes did: ops after each, and the rules that fired or did not. */
{
  const { make } = report;

  report.drawPasses = () => {
    const { passes, rules } = report.data.entries[report.entry];
    const most = Math.max(1, ...passes.map(({ ops }) => ops));
    const rows = passes.map(({ name, doc, ops }) =>
      make(
        'div',
        { class: 'pass' },
        make('b', {}, name),
        make('span', {}, make('i', { style: `width: ${((100 * ops) / most).toFixed(1)}%` })),
        make('output', {}, ops.toLocaleString('en-US')),
        make('p', {}, doc),
      ),
    );
    report.fill('passes', rows);
    const told = rules.map(({ rule, kind, why, times, at }) => {
      const fired = kind === 'applied';
      const count = fired ? `fired ${report.plural(times, 'time')}` : `held back ${report.plural(times, 'time')}`;
      return make(
        'div',
        { class: 'rule' },
        make('b', {}, rule),
        ' ',
        make('span', { class: fired ? 'fired' : 'held' }, count),
        fired ? make('code', {}, why) : make('p', {}, why),
        at.length ? make('p', {}, `at ${at.slice(0, 4).join(', ')}${at.length > 4 ? ', …' : ''}`) : undefined,
      );
    });
    report.fill('rules', told.length ? told : make('p', {}, 'No rule had anything to match.'));
  };
}
