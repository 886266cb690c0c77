using System.Collections.Concurrent;
using System.Net.Http.Headers;
using AiAspire.Api.Identity;
using AiAspire.AppHost;
using AiAspire.Integration.Application;
using Aspire.Hosting.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Integration.Identity;

/// <summary>One more Api over the running system's data, in this process, whose tokens come from an OIDC authority.</summary>
internal sealed class ApiBehindAuthority : WebApplicationFactory<IdentityOptions>
{
    private readonly Dictionary<string, string?> _settings;
    private readonly Lines _lines = new();

    private ApiBehindAuthority(Dictionary<string, string?> settings) => _settings = settings;

    /// <summary>Lines of its log, warnings and errors.</summary>
    public IEnumerable<string> Log => _lines.Written;

    public static async Task<ApiBehindAuthority> CreateAsync(RunningApplication application, string authority)
    {
        var secrets = DevelopmentSecrets.In(application.App.DataFolder);
        var api = new ApiBehindAuthority(new Dictionary<string, string?>(StringComparer.Ordinal)
        {
            ["ConnectionStrings:aiaspire"] = await ConnectionAsync("aiaspire_app", "aiaspire"),
            ["ConnectionStrings:ledger"] = await ConnectionAsync("aiaspire_ledger", "aiaspire"),
            ["ConnectionStrings:keystore"] = await ConnectionAsync("aiaspire_keys", "keystore"),
            ["ConnectionStrings:redis"] = await application.App.GetConnectionStringAsync("redis"),
            // Not called here; the AppHost would say where they are on this machine.
            ["Providers:sim-openai:AllowPlaintext"] = "true",
            ["Providers:sim-anthropic:AllowPlaintext"] = "true",
            ["Encryption:MasterKeyFile"] = secrets.MasterKeyFile,
            ["Encryption:TombstonesPath"] = secrets.TombstonesFile,
            ["Identity:Authority"] = authority,
            ["Identity:Audience"] = OidcServer.Audience,
            ["Identity:TenantClaim"] = OidcServer.TenantClaim,
        });
        try
        {
            api.StartServer();
            return api;
        }
        catch
        {
            await api.DisposeAsync();
            throw;
        }

        async Task<string> ConnectionAsync(string role, string database)
        {
            await using var made = await application.OpenAsAsync(role, database);
            return new NpgsqlConnectionStringBuilder(made.ConnectionString) { Password = "test", Pooling = true }.ConnectionString;
        }
    }

    /// <summary>A client with this bearer credential.</summary>
    public HttpClient Client(string credential)
    {
        // The factory's own keeps its clients in a list that several callers at a time damage.
        var client = Server.CreateClient();
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", credential);
        return client;
    }

    protected override void ConfigureWebHost(IWebHostBuilder builder)
    {
        foreach (var (key, value) in _settings)
            builder.UseSetting(key, value);
        builder.ConfigureLogging(logging => logging.ClearProviders().AddProvider(_lines));
    }

    private sealed class Lines : ILoggerProvider, ILogger
    {
        private readonly ConcurrentQueue<string> _written = new();

        public IEnumerable<string> Written => _written;

        public ILogger CreateLogger(string categoryName) => this;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull
            => null;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                _written.Enqueue($"{logLevel}: {formatter(state, exception)}");
        }

        public void Dispose()
        {
        }
    }
}
