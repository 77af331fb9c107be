//! Orders that wait for stock.
