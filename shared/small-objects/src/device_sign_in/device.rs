//! A device authorization: asked for by the device, decided by the user, fetched by the device once.

use serde::{Deserialize, Serialize};
use tern_auth::{
    oauth::{OAuthError, ticket::hash},
    secret,
};
use tern_model::MatrixError;
use tern_ports::{
    ObjectHost,
    wire::device_sign_in::{DEVICE_INTERVAL_MS, DecideDeviceGrant, DeviceRequest, OpenDeviceGrant, PollDeviceGrant},
};

use super::DeviceSignInActor;

#[derive(Serialize, Deserialize)]
struct DeviceGrant {
    /// SHA-256 of the device code.
    device_code: String,
    request: DeviceRequest,
    decision: Decision,
}

#[derive(Serialize, Deserialize)]
enum Decision {
    Pending,
    Granted(String),
    Refused,
    Fetched,
}

impl<H: ObjectHost> DeviceSignInActor<H> {
    pub(super) async fn open_device_grant(&self, command: OpenDeviceGrant) -> Result<bool, MatrixError> {
        if self.load::<serde_json::Value>()?.is_some() {
            return Ok(false);
        }
        let device_code = secret::base64(&hash(&command.device_code));
        let grant = DeviceGrant { device_code, request: command.request, decision: Decision::Pending };
        self.save(&grant, command.expires)?;
        self.host.set_alarm(command.expires).await;
        Ok(true)
    }

    pub(super) fn read_device_grant(&self) -> Result<Option<DeviceRequest>, MatrixError> {
        let kept = self.load::<DeviceGrant>()?;
        Ok(kept.filter(|(grant, _)| matches!(grant.decision, Decision::Pending)).map(|(grant, _)| grant.request))
    }

    pub(super) fn decide_device_grant(&self, command: DecideDeviceGrant) -> Result<bool, MatrixError> {
        let Some((mut grant, expires)) = self.load::<DeviceGrant>()? else { return Ok(false) };
        if !matches!(grant.decision, Decision::Pending) {
            return Ok(false);
        }
        grant.decision = command.code.map_or(Decision::Refused, Decision::Granted);
        self.save(&grant, expires)?;
        Ok(true)
    }

    pub(super) fn poll_device_grant(&self, command: &PollDeviceGrant) -> Result<String, MatrixError> {
        let (mut grant, expires) = self.load::<DeviceGrant>()?.ok_or(OAuthError::ExpiredToken)?;
        let device_code = secret::base64(&hash(&command.device_code));
        if !secret::same(&grant.device_code, &device_code) || grant.request.client_id != command.client_id {
            return Err(OAuthError::InvalidGrant.into());
        }
        match std::mem::replace(&mut grant.decision, Decision::Fetched) {
            Decision::Granted(code) => {
                self.save(&grant, expires)?;
                Ok(code)
            }
            Decision::Refused => Err(OAuthError::AccessDenied.into()),
            Decision::Fetched => Err(OAuthError::InvalidGrant.into()),
            Decision::Pending => {
                let now = self.host.now();
                let too_soon =
                    self.asked.replace(Some(now)).is_some_and(|before| now.since(before) < DEVICE_INTERVAL_MS);
                Err(if too_soon { OAuthError::SlowDown } else { OAuthError::AuthorizationPending }.into())
            }
        }
    }
}
