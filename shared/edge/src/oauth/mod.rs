//! The provider's cold paths: registering clients, exchanging what they were granted. Run in the proxy: clients are in the
//! storage worker, grants in their users' hubs, device authorizations in objects of their own, and only the proxy makes
//! access tokens.

mod clients;
mod device_grant;
mod introspection;
mod token;

pub use clients::{client, register, trust, trusted};
pub use device_grant::{DEVICE_GRANT_FOR, DeviceAnswer, decide_device, device, device_request};
pub use introspection::{Revoked, introspect, revoke};
pub use token::{TokenAnswer, grant, token};
