//! WebCrypto: key pairs, signatures, sealing.

use js_sys::{Array, Function, JSON, Object, Promise, Reflect, Uint8Array};
use tern_model::{Algorithm, Jwk};
use tern_ports::{CryptoError, KeyPair};
use wasm_bindgen::{JsCast, JsValue};
use worker::wasm_bindgen_futures::JsFuture;

/// Bytes of a nonce of AES-GCM.
const NONCE: usize = 12;
/// The members of public keys that are kept (RFC 7638, 3.2).
const MEMBERS: [&str; 6] = ["crv", "e", "kty", "n", "x", "y"];

/// `crypto.subtle`. Called by name: the bindings would bring types for each of the many ways to call it.
struct Subtle(JsValue);

impl Subtle {
    fn get() -> Result<Self, JsValue> {
        let crypto = Reflect::get(&js_sys::global(), &"crypto".into())?;
        Reflect::get(&crypto, &"subtle".into()).map(Self)
    }

    async fn call(&self, name: &str, arguments: &[&JsValue]) -> Result<JsValue, JsValue> {
        let function: Function = Reflect::get(&self.0, &name.into())?.dyn_into()?;
        let promise: Promise = function.apply(&self.0, &arguments.iter().copied().collect::<Array>())?.dyn_into()?;
        JsFuture::from(promise).await
    }

    async fn bytes(&self, name: &str, arguments: &[&JsValue]) -> Result<Vec<u8>, JsValue> {
        Ok(Uint8Array::new(&self.call(name, arguments).await?).to_vec())
    }
}

pub(crate) async fn generate(algorithm: Algorithm) -> Result<KeyPair, CryptoError> {
    let work = async {
        let subtle = Subtle::get()?;
        let pair =
            subtle.call("generateKey", &[&made_by(algorithm)?, &true.into(), &list(&["sign", "verify"])]).await?;
        let half = |name: &str| Reflect::get(&pair, &name.into());
        let private = subtle.bytes("exportKey", &[&"pkcs8".into(), &half("privateKey")?]).await?;
        let public = subtle.call("exportKey", &[&"jwk".into(), &half("publicKey")?]).await?;
        let text: String = JSON::stringify(&public)?.into();
        let mut public: Jwk = serde_json::from_str(&text).map_err(|error| JsValue::from(error.to_string()))?;
        public.retain(|name, _| MEMBERS.contains(&name.as_str()));
        Ok(KeyPair { private, public })
    };
    work.await.map_err(|error| refused(&error))
}

pub(crate) async fn sign(algorithm: Algorithm, private: &[u8], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let work = async {
        let subtle = Subtle::get()?;
        let (way, no) = (used_by(algorithm)?, false.into());
        let key = [&"pkcs8".into(), &view(private), &way, &no, &list(&["sign"])];
        let key = subtle.call("importKey", &key).await?;
        subtle.bytes("sign", &[&way, &key, &view(message)]).await
    };
    work.await.map_err(|error| refused(&error))
}

pub(crate) async fn verify(
    algorithm: Algorithm,
    public: &Jwk,
    message: &[u8],
    signature: &[u8],
) -> Result<bool, CryptoError> {
    let work = async {
        let subtle = Subtle::get()?;
        let (way, no) = (used_by(algorithm)?, false.into());
        // What a key says of its own use is not asked: the algorithm is given, and must fit the key.
        let members = public.iter().filter(|(name, _)| MEMBERS.contains(&name.as_str()));
        let public: Jwk = members.map(|(name, value)| (name.clone(), value.clone())).collect();
        let public = JSON::parse(&serde_json::Value::Object(public).to_string())?;
        let key = subtle.call("importKey", &[&"jwk".into(), &public, &way, &no, &list(&["verify"])]).await?;
        subtle.call("verify", &[&way, &key, &view(signature), &view(message)]).await
    };
    work.await.map(|same| same.is_truthy()).map_err(|error| refused(&error))
}

pub(crate) async fn seal(
    key: &[u8; 32],
    context: &[u8],
    content: &[u8],
    nonce: [u8; NONCE],
) -> Result<Vec<u8>, CryptoError> {
    let sealed = aes(key, context, ("encrypt", content), &nonce).await.map_err(|error| refused(&error))?;
    Ok([&nonce[..], &sealed].concat())
}

pub(crate) async fn open(key: &[u8; 32], context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE).ok_or_else(|| CryptoError("too short".to_owned()))?;
    aes(key, context, ("decrypt", sealed), nonce).await.map_err(|error| refused(&error))
}

async fn aes(key: &[u8], context: &[u8], (verb, content): (&str, &[u8]), nonce: &[u8]) -> Result<Vec<u8>, JsValue> {
    let subtle = Subtle::get()?;
    let way = object(&[("name", "AES-GCM".into()), ("iv", view(nonce)), ("additionalData", view(context))])?;
    let key = [&"raw".into(), &view(key), &"AES-GCM".into(), &false.into(), &list(&[verb])];
    let key = subtle.call("importKey", &key).await?;
    subtle.bytes(verb, &[&way, &key, &view(content)]).await
}

/// The parameters of `generateKey`.
fn made_by(algorithm: Algorithm) -> Result<JsValue, JsValue> {
    let way = used_by(algorithm)?;
    if algorithm == Algorithm::Rs256 {
        Reflect::set(&way, &"modulusLength".into(), &2_048.into())?;
        Reflect::set(&way, &"publicExponent".into(), &view(&[1, 0, 1]))?;
    }
    Ok(way)
}

/// The parameters of every other call.
fn used_by(algorithm: Algorithm) -> Result<JsValue, JsValue> {
    let name = match algorithm {
        Algorithm::Rs256 => "RSASSA-PKCS1-v1_5",
        Algorithm::Es256 => "ECDSA",
    };
    object(&[("name", name.into()), ("hash", "SHA-256".into()), ("namedCurve", "P-256".into())])
}

fn object(members: &[(&str, JsValue)]) -> Result<JsValue, JsValue> {
    let object = Object::new();
    for (name, value) in members {
        Reflect::set(&object, &(*name).into(), value)?;
    }
    Ok(object.into())
}

fn list(names: &[&str]) -> JsValue {
    names.iter().map(|name| JsValue::from(*name)).collect::<Array>().into()
}

/// A copy: the wasm memory may move while the platform reads.
fn view(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

fn refused(error: &JsValue) -> CryptoError {
    let text = error.as_string().or_else(|| error.dyn_ref::<js_sys::Error>().map(|error| error.message().into()));
    CryptoError(text.unwrap_or_else(|| "refused".to_owned()))
}
