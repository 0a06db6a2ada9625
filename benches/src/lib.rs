//! Corpora and budgets.
