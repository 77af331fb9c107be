//! How the functions of the server's module API are called.

/// Calls a function of the server's module API. All that the module uses exist since Redis 7.0; loading the module
/// checks that they are there ([`super::register::check_api`]).
macro_rules! api {
    ($name:ident ( $($argument:expr),* $(,)? )) => {{
        let function = redis_module::raw::$name.expect(concat!(stringify!($name), " exists since Redis 7.0"));
        function($($argument),*)
    }};
}
pub(super) use api;
