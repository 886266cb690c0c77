using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Models;
using AiAspire.Migrator;
using AiAspire.ServiceDefaults;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Npgsql;

// Runs to completion before anything else starts: schema, roles, policies, prices and, in development, seed data.
var builder = Host.CreateApplicationBuilder(args);
builder.Configuration.AddShippedCatalog();
builder.AddServiceDefaults();
builder.Services.AddModelCatalogOptions();
// Where the audit log is, as the role that owns it.
builder.Services.AddSingleton(_ => NpgsqlDataSource.Create(SchemaSetup.AsOwner(Required("aiaspire"))));
builder.Services.AddTombstoneReplay();
using var host = builder.Build();
var services = host.Services;
// Before anything is changed. It is the first of the processes, so whoever has mistyped a setting reads it here.
if (!host.HasUsableSettings())
    return 1;

var cancellationToken = services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;

var content = Required("aiaspire");
var database = builder.Configuration.GetSection("Database").Get<DatabaseOptions>() ?? new DatabaseOptions();
var seedOptions = builder.Configuration.GetSection("Seed").Get<SeedOptions>() ?? new SeedOptions();
await ActivatorUtilities.CreateInstance<SchemaSetup>(services).RunAsync(content, Required("keystore"), database, cancellationToken);

// A restored key store must not serve a key that was destroyed after the backup.
await using (var keyStore = NpgsqlDataSource.Create(SchemaSetup.AsOwner(Required("keystore"))))
    await services.GetRequiredService<TombstoneReplay>().RunAsync(keyStore, cancellationToken);

await using var db = new AiAspireDb(DataRegistration.Options(services.GetRequiredService<NpgsqlDataSource>()), TenantScope.Platform);
var seed = ActivatorUtilities.CreateInstance<Seed>(services);
await seed.PlatformAsync(db, cancellationToken);
await ActivatorUtilities.CreateInstance<PriceSync>(services).RunAsync(db, cancellationToken);
if (seedOptions is { Enabled: true, DevelopmentKey: { Length: > 0 } key })
    await seed.DevelopmentAsync(db, key, cancellationToken);
return 0;

string Required(string name) => builder.GetSafePostgres(name);
