//! The rules between servers (Server-Server API): who is asked where, and who asks.
//!
//! - [`server_name`]: what servers are called, and [`discovery`] where they are, with [`well_known`] on the way.
//! - [`x_matrix`] reads the header of a signed request, [`request`] makes and checks the signature, over [`canonical`] JSON
//!   that keeps numbers as they were written.
//! - [`queue`]: what becomes of a transaction that another server is sent; [`back_off`]: when one that failed is asked again.
//! - [`server_keys`]: what a server says of its keys, and for how long they are good.

pub mod back_off;
pub mod canonical;
pub mod discovery;
pub mod queue;
pub mod request;
pub mod server_keys;
pub mod server_name;
pub mod signature;
pub mod well_known;
pub mod x_matrix;
