using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace AiAspire.ServiceDefaults.Redis;

/// <summary>One named connection to Redis, checked before the process starts.</summary>
internal sealed class RedisConnectionOptions
{
    public string? ConnectionString { get; set; }

    /// <summary><c>Redis:AllowPlaintext</c>: permits an unencrypted connection to another machine.</summary>
    public bool AllowPlaintext { get; set; }
}

/// <summary>Refuses a connection string that is none, or that would send counters and the password over a network in the clear.</summary>
internal sealed class RedisConnectionRules(string connectionName) : IValidateOptions<RedisConnectionOptions>
{
    public ValidateOptionsResult Validate(string? name, RedisConnectionOptions options)
    {
        if (name != connectionName)
            return ValidateOptionsResult.Skip;
        if (string.IsNullOrWhiteSpace(options.ConnectionString))
            return Refuse("is missing or empty. Set it, for example by the environment variable ConnectionStrings__" + connectionName + ".");

        ConfigurationOptions parsed;
        try
        {
            parsed = ConfigurationOptions.Parse(options.ConnectionString);
        }
        catch (ArgumentException)
        {
            // The parser's message quotes parts of the string, and with them perhaps the password.
            return Refuse("is not a Redis connection string (host:port,ssl=true and so on).");
        }

        if (parsed.EndPoints.Count == 0)
            return Refuse("names no server.");
        return parsed.Ssl || options.AllowPlaintext || parsed.EndPoints.All(IsLocal)
            ? ValidateOptionsResult.Success
            : Refuse("reaches another machine without TLS. Add ssl=true, or set Redis:AllowPlaintext=true when the network itself is encrypted.");
    }

    private ValidateOptionsResult Refuse(string reason) => ValidateOptionsResult.Fail($"The connection string '{connectionName}' {reason}");

    private static bool IsLocal(EndPoint endpoint) => endpoint switch
    {
        IPEndPoint ip => IPAddress.IsLoopback(ip.Address),
        DnsEndPoint dns => dns.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase),
        UnixDomainSocketEndPoint => true,
        _ => false,
    };
}
