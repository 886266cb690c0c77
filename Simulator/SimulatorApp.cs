using AiAspire.Simulator.Anthropic;
using AiAspire.Simulator.Behaviours;
using AiAspire.Simulator.Billing;
using AiAspire.Simulator.Control;
using AiAspire.Simulator.Models;
using AiAspire.Simulator.OpenAi;
using AiAspire.Simulator.Recording;
using AiAspire.Simulator.Replies;
using AiAspire.Simulator.Tokens;
using AiAspire.Simulator.Wire;
using Microsoft.Extensions.Configuration.Json;
using Microsoft.Extensions.Options;

namespace AiAspire.Simulator;

/// <summary>One simulated company as a web application.</summary>
public static class SimulatorApp
{
    /// <param name="args">Configuration, for instance <c>--Simulator:Company=anthropic --urls=http://127.0.0.1:0</c>.</param>
    /// <param name="configure">Last word on services and configuration, for tests.</param>
    public static WebApplication Build(string[] args, Action<WebApplicationBuilder>? configure = null)
    {
        var home = Path.GetDirectoryName(typeof(SimulatorApp).Assembly.Location)!;
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = args, ContentRootPath = home });
        // First, so that every other source wins over what the simulator ships with.
        builder.Configuration.Sources.Insert(0, new JsonConfigurationSource { Path = "simulator.json" });
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            // The body reader enforces Simulator:MaxBodyBytes with the company's own error.
            kestrel.Limits.MaxRequestBodySize = null;
        });
        // Injected hangs must not hold up a shutdown.
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = TimeSpan.FromSeconds(2));
        AddServices(builder.Services, home);
        configure?.Invoke(builder);

        var app = builder.Build();
        app.MapGet("/health", () => "Healthy");
        app.MapGet("/alive", () => "Alive");
        app.MapControl();
        app.Services.GetRequiredService<CompanyRoutes>().Map(app);
        return app;
    }

    private static void AddServices(IServiceCollection services, string home)
    {
        services.AddOptions<SimulatorOptions>().BindConfiguration(SimulatorOptions.Section).ValidateDataAnnotations().ValidateOnStart();
        services.AddSingleton(TimeProvider.System);
        services.AddSingleton(s => new Catalog(CompanyOf(s)));
        services.AddSingleton(s => new BehaviourBook(
            s.GetRequiredService<Catalog>(), ConfiguredBehaviours.Read(s.GetRequiredService<IConfiguration>()), s.GetRequiredService<TimeProvider>()));
        services.AddSingleton<ICompanyWire>(s => CompanyOf(s) == Company.OpenAi ? new OpenAiWire() : new AnthropicWire());
        services.AddSingleton(s => new ScriptedRules(RuleFiles.Load(Path.Combine(home, Options(s).RulesPath))));
        services.AddSingleton<TokenCounter>();
        services.AddSingleton<PromptPrefixCache>();
        services.AddSingleton<ReplyWriter>();
        services.AddSingleton<ResponseBuffers>();
        services.AddSingleton<Statistics>();
        services.AddSingleton<Bill>();
        services.AddSingleton<ReceivedLog>();
        services.AddSingleton<CompanyState>();
        services.AddSingleton<CallServices>();
        services.AddSingleton<ProviderFront>();
        services.AddSingleton<CompanyRoutes>();
    }

    private static SimulatorOptions Options(IServiceProvider services) => services.GetRequiredService<IOptions<SimulatorOptions>>().Value;

    private static Company CompanyOf(IServiceProvider services) => Options(services).Company == "openai" ? Company.OpenAi : Company.Anthropic;
}
