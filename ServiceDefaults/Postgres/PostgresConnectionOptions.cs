using System.Data.Common;
using System.Net;
using Microsoft.Extensions.Options;
using Npgsql;

namespace AiAspire.ServiceDefaults.Postgres;

/// <summary>One named connection to PostgreSQL, checked before the process starts.</summary>
internal sealed class PostgresConnectionOptions
{
    public string? ConnectionString { get; set; }

    /// <summary><c>Database:AllowPlaintext</c>: permits an unencrypted connection to another machine.</summary>
    public bool AllowPlaintext { get; set; }
}

/// <summary>Refuses connection strings that would leak a tenant's setting to the next lease, or data to the network.</summary>
internal sealed class PostgresConnectionRules(string connectionName) : IValidateOptions<PostgresConnectionOptions>
{
    public ValidateOptionsResult Validate(string? name, PostgresConnectionOptions options)
    {
        if (name != connectionName)
            return ValidateOptionsResult.Skip;
        if (string.IsNullOrWhiteSpace(options.ConnectionString))
            return Refuse("is missing or empty. Set it, for example by the environment variable ConnectionStrings__" + connectionName + ".");

        NpgsqlConnectionStringBuilder parsed;
        try
        {
            parsed = new NpgsqlConnectionStringBuilder(options.ConnectionString);
        }
        catch (ArgumentException)
        {
            // The parser's message quotes parts of the string, and with them perhaps the password.
            return Refuse("is not a PostgreSQL connection string (Host=…;Username=…;Database=…).");
        }

        if (parsed.Multiplexing)
            return Refuse("has Multiplexing=true, which shares a session between tenants. Remove it.");
        if (parsed.NoResetOnClose)
            return Refuse("has No Reset On Close=true, which hands a tenant's session settings to the next one. Remove it.");
        if (string.IsNullOrWhiteSpace(parsed.Host))
            return Refuse("names no Host.");
        if (parsed.SslMode < SslMode.Require && !options.AllowPlaintext && !parsed.Host.Split(',').All(IsLocal))
        {
            return Refuse("reaches another machine without enforced TLS. Add SSL Mode=VerifyFull (or Require), or set "
                + "Database:AllowPlaintext=true when the network itself is encrypted.");
        }

        return ValidateOptionsResult.Success;
    }

    public static bool NamesPoolSize(string connectionString)
        => new DbConnectionStringBuilder { ConnectionString = connectionString }.Keys.Cast<string>()
            .Any(static k => k.Replace(" ", "", StringComparison.Ordinal).ToUpperInvariant() is "MAXIMUMPOOLSIZE" or "MAXPOOLSIZE");

    private ValidateOptionsResult Refuse(string reason) =>
        ValidateOptionsResult.Fail($"The connection string '{connectionName}' {reason}");

    // Forms of Npgsql's Host: name, name:port, 1.2.3.4, ::1, [::1]:5432, and a directory or @name for a unix socket.
    private static bool IsLocal(string host)
    {
        host = host.Trim();
        if (host.StartsWith('/') || host.StartsWith('@'))
            return true;
        if (!IPAddress.TryParse(host, out var address) && IPEndPoint.TryParse(host, out var endpoint))
            address = endpoint.Address;
        return address is not null
            ? IPAddress.IsLoopback(address)
            : host.Split(':')[0].Equals("localhost", StringComparison.OrdinalIgnoreCase);
    }
}
