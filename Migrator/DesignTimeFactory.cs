using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore.Design;
using Npgsql;

namespace AiAspire.Migrator;

/// <summary>Lets <c>dotnet ef migrations add</c> build the model; no database is reached.</summary>
public sealed class DesignTimeFactory : IDesignTimeDbContextFactory<AiAspireDb>
{
    public AiAspireDb CreateDbContext(string[] args)
        => new(DataRegistration.Options(NpgsqlDataSource.Create("Host=localhost;Database=design-time")), TenantScope.Platform);
}
