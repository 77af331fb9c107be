//! `STORE.SET`.

use crate::base::units::Ms;
use crate::store::Store;
use crate::terms::effects::{Effects, Event};
use crate::terms::refusal::Refusal;
use crate::terms::settings::Field;

impl Store {
    /// Sets settings, all or none. Fields out of their range are refused.
    pub fn configure(&mut self, now: Ms, fields: &[(Field, u64)], fx: &mut Effects) -> Result<(), Refusal> {
        let mut settings = self.settings.clone();
        for (field, value) in fields {
            let (min, max) = (field.min(), field.max());
            if !(min..=max).contains(value) {
                let problem = format!("must be from {min} to {max}, got {value}");
                return Err(Refusal::argument(field.name(), problem));
            }
            settings.set(*field, *value);
        }
        if settings.closes != 0 && settings.closes <= settings.opens {
            let problem = format!("must be after opens, {}, or 0, got {}", settings.opens, settings.closes);
            return Err(Refusal::argument("closes", problem));
        }
        self.touch(now, fx);
        self.settings = settings;
        fx.event(Event::StoreChanged);
        Ok(())
    }
}
