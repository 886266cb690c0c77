using System.Collections.Concurrent;
using System.Net.Http.Headers;
using AiAspire.Api.Identity;
using AiAspire.AppHost;
using Aspire.Hosting.Testing;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Mvc.Testing;
using Microsoft.AspNetCore.TestHost;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace AiAspire.Integration.Application;

/// <summary>One more Api over the running system's data and providers, in this process.</summary>
internal sealed class InProcessApi : WebApplicationFactory<IdentityOptions>
{
    private readonly Dictionary<string, string?> _settings;
    private readonly Action<IServiceCollection>? _services;
    private readonly Lines _lines = new();

    private InProcessApi(Dictionary<string, string?> settings, Action<IServiceCollection>? services) => (_settings, _services) = (settings, services);

    /// <summary>Lines of its log, warnings and errors.</summary>
    public IEnumerable<string> Log => _lines.Written;

    /// <param name="application">The running system.</param>
    /// <param name="settings">Further settings.</param>
    /// <param name="services">Exchanges services for others.</param>
    public static async Task<InProcessApi> CreateAsync(RunningApplication application, IReadOnlyDictionary<string, string?> settings, Action<IServiceCollection>? services = null)
    {
        var secrets = DevelopmentSecrets.In(application.App.DataFolder);
        var api = new InProcessApi(new Dictionary<string, string?>(settings, StringComparer.Ordinal)
        {
            ["ConnectionStrings:aiaspire"] = await ConnectionAsync("aiaspire_app", "aiaspire"),
            ["ConnectionStrings:ledger"] = await ConnectionAsync("aiaspire_ledger", "aiaspire"),
            ["ConnectionStrings:keystore"] = await ConnectionAsync("aiaspire_keys", "keystore"),
            ["ConnectionStrings:redis"] = await application.App.GetConnectionStringAsync("redis"),
            ["Services:sim-openai:http:0"] = application.App.GetEndpoint("sim-openai", "http").ToString(),
            ["Services:sim-anthropic:http:0"] = application.App.GetEndpoint("sim-anthropic", "http").ToString(),
            // That they are on this machine the AppHost would say.
            ["Providers:sim-openai:AllowPlaintext"] = "true",
            ["Providers:sim-anthropic:AllowPlaintext"] = "true",
            ["Encryption:MasterKeyFile"] = secrets.MasterKeyFile,
            ["Encryption:TombstonesPath"] = secrets.TombstonesFile,
        }, services);
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
        if (_services is not null)
            builder.ConfigureTestServices(_services);
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
