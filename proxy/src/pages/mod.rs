//! The pages: what people see in a browser. Rendered here, without scripts.
//!
//! How to add one: a template in `proxy/templates` that extends `page.html`, its words in every table of [`text`], and
//! a handler whose body is a call of [`page_request::page`]. The [`page_request::PageRequest`] it gets knows the
//! visitor: `signed_in()` and
//! `must_sign_in()` ask the user's hub, `form()` returns the fields of a form only when it came from a page of ours shown
//! to this visitor, `show()` sends the page with its security headers. Every form needs the hidden field `form_token`.

pub(crate) mod account;
pub(crate) mod consent;
pub(crate) mod entry;
pub(crate) mod fallback;
pub(crate) mod form;
pub(crate) mod mail;
pub(crate) mod page_request;
pub(crate) mod security;
pub(crate) mod sso;
mod terms;
pub(crate) mod text;
