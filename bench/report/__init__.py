"""Reports: boards, tables, charts and the page, from results and published rows."""
