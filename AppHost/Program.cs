using AiAspire.AppHost;

if (await Verbs.TryRunAsync(args))
    return;

var builder = DistributedApplication.CreateBuilder(args);

// What a development system keeps between runs. In production these come from a key management system and an identity provider.
var secrets = builder.AddDevelopmentSecrets();

// Data: the content and, apart from it, the key store; what a given ConnectionStrings:… names is used and not started.
var content = builder.FindDatabase("aiaspire")
    ?? builder.AddPostgres("postgres").WithImage("pgvector/pgvector", "pg18").WithVolume("aiaspire-postgres", "/var/lib/postgresql").HoldDatabase("aiaspire");
var keystore = builder.FindDatabase("keystore") ?? builder.HoldBeside(content, "keystore");
var redis = builder.FindOrAddRedis("redis");

// Login roles. Only the migrator knows the superuser.
var migratorPassword = builder.AddKeptPassword("migrator-password");
var appPassword = builder.AddKeptPassword("app-password");
var ledgerPassword = builder.AddKeptPassword("ledger-password");
var keysPassword = builder.AddKeptPassword("keys-password");
var backupPassword = builder.AddKeptPassword("backup-password");

var migrator = builder.AddProject("migrator", "../Migrator/Migrator.csproj", launchProfileName: null)
    .WithReference(content.Superuser, "aiaspire")
    .WithReference(keystore.Superuser, "keystore")
    .WithEnvironment("Database__Passwords__Migrator", migratorPassword)
    .WithEnvironment("Database__Passwords__App", appPassword)
    .WithEnvironment("Database__Passwords__Ledger", ledgerPassword)
    .WithEnvironment("Database__Passwords__Keys", keysPassword)
    .WithEnvironment("Database__Passwords__Backup", backupPassword)
    .WithSeed(secrets)
    .WithMasterKey(secrets)
    .WithSettings()
    .WaitFor(content.Superuser)
    .WaitFor(keystore.Superuser);

// Two stand-in companies, so that falling back from one to the other is real.
var openAi = builder.AddProject("sim-openai", "../Simulator/Simulator.csproj", launchProfileName: null)
    .WithEnvironment("Simulator__Company", "openai")
    .WithHttpEndpoint()
    .WithHttpHealthCheck("/health", endpointName: "http");
var anthropic = builder.AddProject("sim-anthropic", "../Simulator/Simulator.csproj", launchProfileName: null)
    .WithEnvironment("Simulator__Company", "anthropic")
    .WithHttpEndpoint()
    .WithHttpHealthCheck("/health", endpointName: "http");

// The real companies, when their keys are given.
var openAiKey = builder.FindApiKey("openai");
var anthropicKey = builder.FindApiKey("anthropic");

var api = Wire(builder.AddProject("api", "../Api/Api.csproj", launchProfileName: null))
    .WithSettings("Api", "Batches", "Caching", "Files", "Idempotency", "Jobs", "Ledger", "Limits", "Notifications")
    .WithReplicas(int.Parse(builder.Configuration["Replicas:Api"] ?? "1", System.Globalization.CultureInfo.InvariantCulture))
    .WithExternalHttpEndpoints();
var workers = Wire(builder.AddProject("workers", "../Workers/Workers.csproj", launchProfileName: null))
    .WithMailFolder(secrets)
    .WithSettings("Batches", "Caching", "Evaluations", "Files", "Jobs", "Ledger", "Limits", "Notifications", "Schedules", "Workers")
    .WithReplicas(int.Parse(builder.Configuration["Replicas:Workers"] ?? "2", System.Globalization.CultureInfo.InvariantCulture));

var evaluator = builder.AddProject("evaluator", "../Evaluator/Evaluator.csproj", launchProfileName: null)
    .WithReference(api)
    .WithEvaluatorKey(secrets)
    .WithHttpEndpoint()
    .WithHttpHealthCheck("/health", endpointName: "http")
    .WaitFor(api);
// For evaluations by the clock, if any are configured (section Evaluations).
workers.WithReference(evaluator).WithEvaluatorKey(secrets, "Evaluations__ApiKey");

await builder.Build().RunAsync();

// Api and workers run the same pipeline over the same data, as roles that own nothing and see one tenant at a time.
IResourceBuilder<ProjectResource> Wire(IResourceBuilder<ProjectResource> project) => project
    .WithEnvironment("ConnectionStrings__aiaspire", content.As("aiaspire_app", appPassword))
    .WithEnvironment("ConnectionStrings__ledger", content.As("aiaspire_ledger", ledgerPassword))
    .WithEnvironment("ConnectionStrings__keystore", keystore.As("aiaspire_keys", keysPassword))
    .WithReference(redis, "redis")
    .WithReference(openAi)
    .WithReference(anthropic)
    .WithOptionalEnvironment("Providers__openai__ApiKey", openAiKey)
    .WithOptionalEnvironment("Providers__anthropic__ApiKey", anthropicKey)
    .WithMasterKey(secrets)
    .WithDevelopmentIssuer(secrets)
    .WithHttpEndpoint()
    .WithHttpHealthCheck("/health", endpointName: "http")
    .WaitForCompletion(migrator)
    .WaitFor(redis)
    .WaitFor(openAi)
    .WaitFor(anthropic);
