//! Seeing llib run: what processes publish of themselves.
//!
//! Owns the forms of that and nothing else: nobody in llib decides anything by what stands here. The page that
//! explains it is `docs/observing.md`.

mod waiting;

pub use waiting::{Awaited, Board, Waiting, set_board, waiting, waiting_in};
