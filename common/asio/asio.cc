// Asio, compiled once for the whole project. Its TLS and Beast are files of their own, so that a
// program that needs neither is linked without them.
#include <boost/asio/impl/src.hpp>
