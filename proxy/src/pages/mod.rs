//! The pages: what people see in a browser. Rendered here, without scripts.
//!
//! How to add one: a template in `proxy/templates` that extends `page.html`, its words in every table of
//! [`crate::text`], and a handler whose body is a call of [`page_request::page`]. The [`page_request::PageRequest`] it
//! gets knows the visitor: `signed_in()` and
//! `must_sign_in()` ask the user's hub, `form()` returns the fields of a form only when it came from a page of ours shown
//! to this visitor, `show()` sends the page with its security headers. Every form needs the hidden field `form_token`.

mod account;
mod address;
mod consent;
mod cookie;
mod dashboard;
mod device;
mod fallback;
mod mail;
mod owner;
mod page_request;
mod policy;
mod register;
mod security;
mod sessions;
mod sign_in;
mod sso;
mod terms;
mod welcome;

use crate::route::Route;

/// Every page.
pub(crate) static ALL: &[&[Route]] = &[
    account::ROUTES,
    sessions::ROUTES,
    security::ROUTES,
    sign_in::ROUTES,
    register::ROUTES,
    consent::ROUTES,
    device::ROUTES,
    mail::ROUTES,
    sso::ROUTES,
    fallback::ROUTES,
    welcome::ROUTES,
    dashboard::ROUTES,
];
