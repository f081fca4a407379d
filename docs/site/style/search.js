// Excerpts of the pages that a search has found are fetched, which browsers refuse for pages that lie in a folder.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
