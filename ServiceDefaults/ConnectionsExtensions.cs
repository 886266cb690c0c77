using Microsoft.Extensions.Hosting;

namespace AiAspire.ServiceDefaults;

/// <summary>The connections of every process that serves calls, under the names that the AppHost gives them.</summary>
public static class ConnectionsExtensions
{
    /// <summary>
    /// The content database, which is the unkeyed data source; the same as the ledger's role, and the key store, each keyed by its
    /// name; and Redis.
    /// </summary>
    public static TBuilder AddConnections<TBuilder>(this TBuilder builder)
        where TBuilder : IHostApplicationBuilder
    {
        builder.AddPostgres("aiaspire");
        // Not reset between uses: the ledger's statements leave nothing behind in a session, and the reset is seven statements more,
        // parsed anew each time.
        builder.AddPostgres("ledger", "ledger", static source => source.ConnectionStringBuilder.NoResetOnClose = true);
        builder.AddPostgres("keystore", "keystore");
        return builder.AddRedis("redis");
    }
}
