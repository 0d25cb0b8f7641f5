// Sort a table by the column whose heading is clicked; missing values go last.
for (const button of document.querySelectorAll('table.sortable th button')) {
  button.addEventListener('click', () => {
    const heading = button.closest('th');
    const body = heading.closest('table').tBodies[0];
    const column = heading.cellIndex;
    const down = heading.getAttribute('aria-sort') === 'ascending';
    const value = row => {
      const cell = row.cells[column];
      const text = cell.dataset.sort ?? cell.textContent.trim().toLowerCase();
      return cell.dataset.sort === undefined ? text : text === '' ? null : Number(text);
    };
    const rows = [...body.rows].map(row => [value(row), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
    });
    for (const other of heading.parentNode.cells) other.removeAttribute('aria-sort');
    heading.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    body.append(...rows.map(([, row]) => row));
  });
}
// What is folded is printed all the same.
addEventListener('beforeprint', () => {
  for (const fold of document.querySelectorAll('details')) fold.open = true;
});
